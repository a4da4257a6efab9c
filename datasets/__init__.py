"""Images with labels: PASCAL VOC folders and synthetic scenes."""
