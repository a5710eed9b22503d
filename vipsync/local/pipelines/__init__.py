"""The pipelines that come with the embedded VIP: descriptors, and their tools beside them."""
