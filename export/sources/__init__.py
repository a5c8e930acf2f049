"""Where models come from: torch factories, the zoo, ONNX files, Hugging Face; each gives one verified fp32 graph."""

FORMS = "zoo:NAME, package.module:factory, model.onnx or hf:PATH_OR_ID"
