"""What is behind `fcnrt run`: sources segmented one after the other, results written."""
