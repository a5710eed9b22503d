"""A folder that runs pipelines on the Virtual Imaging Platform (VIP)."""
