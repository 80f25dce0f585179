"""Everything that knows a device model: drivers, codecs, profiles."""
