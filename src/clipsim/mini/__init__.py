"""The bundled model `clipsim-mini`: its files, its card and its known answers.

- `model/`: configuration, weights, card, and the answers that `clipsim doctor` checks a machine against
- `probe`: the images and texts of those answers
"""
