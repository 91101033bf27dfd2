"""The ground floor: settings and commands, files and processes, devices and progress; nothing here knows of CT."""
