"""How a scan reaches the device: records, the manifest, patches, augmentation."""
