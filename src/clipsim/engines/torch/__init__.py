"""The torch engine: checkpoint files → an OpenCLIP model → feature vectors. Importing its modules takes seconds.

- `encoder`: `ClipEncoder`, the engine itself
- `build`: a model's files → an OpenCLIP model with its weights
- `checkpoints`, `torchscript`: a checkpoint file → its tensors, without running code from the file
- `openai_layout`: OpenAI's tensors → the OpenCLIP configuration they belong to
- `openai_towers`: an OpenCLIP model → the same with the calls and the layout of OpenAI's `clip`
- `transformers_layout`, `resizing`: tensors and pictures as `transformers` has them
- `tokenizer`, `vocabulary`: texts → token ids; the same tokenizer as a file for exports
- `towers`: the image and the text side, each moved to the device when first used
- `devices`: the devices and precisions of this machine
- `graphs`: towers → ONNX graphs
- `published_templates`: the templates that open_clip publishes for ImageNet
- `imports`: open_clip, imported without the packages that a model does not need
"""
