"""Pictures: files, colours, overlays and reports."""
