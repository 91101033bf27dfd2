"""Pictures of cases, runs and networks, in matplotlib and pixel by pixel; every color is in `style`."""
