"""Video files and streams: reading, painting, writing."""
