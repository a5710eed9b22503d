"""Files by which a system starts vipsync at boot, and starts it again: texts alone, nothing is touched."""
