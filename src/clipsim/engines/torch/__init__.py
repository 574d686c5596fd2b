"""The torch engine: checkpoint files → an OpenCLIP model → feature vectors. Importing its modules takes seconds.

- `encoder`: `ClipEncoder`, the engine itself, and its towers
- `devices`: names of a device and a precision → those of torch, tried; what the errors of a device mean
- `batches`: batches → vectors, in parts that fit into the device's memory
- `build`: a model's files → an OpenCLIP model with its weights
- `adapters`: a model and a LoRA adapter → the model with the adapter merged into its weights
- `checkpoints`: a checkpoint file → its tensors, without running code from the file
- `layouts`: tensors as OpenAI and transformers name them → OpenCLIP's names and configuration
- `modules`: `ModuleEncoder`, a model that a program holds in its memory
- `openai_towers`: OpenCLIP's towers → towers with OpenAI's layout, for code that walks them by hand
- `cuda`: a tower on a GPU, its copies and its graphs
- `last_block`: the last block of a tower, computed for the one token that is read of it
- `packed`: a tower on a CPU → the same tower, its linear layers multiplied by oneDNN where that is faster
- `trials`: whether it is, for a shape of layers on this machine
- `resize`: an RGB image → the same at another size, faster than Pillow
- `tokenizer`: texts → token ids; the same tokenizer as a file for exports
- `graphs`: towers → ONNX graphs
- `imports`: open_clip, imported without the packages that a model does not need
"""
