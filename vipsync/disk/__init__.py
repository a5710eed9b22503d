"""Files on this machine: seen, packed, unpacked and put in place."""
