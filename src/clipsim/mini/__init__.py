"""The bundled model clipsim-mini: its weights, its pictures, its training and its scoring."""
