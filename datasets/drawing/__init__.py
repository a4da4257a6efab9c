"""Drawing of synthetic scenes: vector sketches of objects, backdrops, and the canvas that paints and labels them."""
