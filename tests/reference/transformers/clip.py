"""CLIP (arXiv:2103.00020): both towers with a byte-level BPE tokenizer, and the picture tower alone.

`clip` is as the published files are: `eos_token_id` 2 (so the token with the highest id is pooled) and the buffers
`position_ids` among the weights. `clip-v5` names the id of the end token and is written by version 5 throughout.
"""
import os
import tempfile
from collections import Counter

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from case import LABELS, Case, Watch, clip, write_json
from texts import CORPUS, PROMPTS, STRINGS, learn_merges

PREPROCESSOR = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}
START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 400
VOCABULARY = 512 + MERGES + 2
LENGTH = 24


def tokenizer(folder):
    """Trains the tokenizer and writes it in all the forms that published folders have."""
    split = pre_tokenizers.Sequence([
        pre_tokenizers.Split(
            Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True
        ),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    normal = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = Counter(word for line in CORPUS for word, _ in split.pre_tokenize_str(normal.normalize_str(line)))
    merges = learn_merges({(*word[:-1], word[-1] + "</w>"): count for word, count in words.items()}, MERGES)
    # Bytes in the order of their characters, the same at the end of a word, merges by rank, then the two marks.
    letters = sorted(alphabet, key=lambda letter: (ord(letter) > 255, ord(letter)))
    order = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges] + [START, END]
    vocabulary = {token: i for i, token in enumerate(order)}
    assert len(vocabulary) == VOCABULARY
    made = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>"
        )
    )
    made.normalizer, made.pre_tokenizer, made.decoder = normal, split, decoders.ByteLevel()
    made.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    made.add_special_tokens([START, END])
    made.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    write_json(os.path.join(folder, "vocab.json"), vocabulary, indent=None)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    marks = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    write_json(os.path.join(folder, "special_tokens_map.json"), marks)
    kind = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, "errors": "replace"}
    write_json(os.path.join(folder, "tokenizer_config.json"), kind | marks)


def published(folder):
    """The tokenizer, and the buffers that old files have among the weights."""
    tokenizer(folder)
    path = os.path.join(folder, "model.safetensors")
    weights = load_file(path)
    weights["text_model.embeddings.position_ids"] = torch.arange(LENGTH)[None]
    weights["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(weights, path, metadata={"format": "pt"})


def processor(folder):
    """As version 5 writes it: the tokenizer in two files, the image processor inside processor_config.json."""
    with tempfile.TemporaryDirectory() as made:
        tokenizer(made)
        write_json(os.path.join(made, "preprocessor_config.json"), PREPROCESSOR)
        write_json(os.path.join(made, "config.json"), {"model_type": "clip"})
        transformers.CLIPProcessor.from_pretrained(made).save_pretrained(folder)


def settings(hidden, layers):
    """Sizes of the picture tower."""
    return transformers.CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 8,
        image_size=32,
        patch_size=8,
        hidden_act="quick_gelu",
        projection_dim=20,
    )


def build(end):
    text = transformers.CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=0 if end == 2 else VOCABULARY - 2,
        eos_token_id=end,
        pad_token_id=1 if end == 2 else VOCABULARY - 1,
        projection_dim=20,
    )
    picture = settings(32, 2)
    config = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=picture.to_dict(), projection_dim=20, logit_scale_init_value=2.6592
    )
    return transformers.CLIPModel(config)


def tower(model, name):
    """`vision_model` and `text_model`, which version 4 wraps once more in the models of one tower."""
    part = getattr(model, name, model)
    return getattr(part, name, part)


def watch_pictures(watch, model):
    vision = tower(model, "vision_model")
    watch.output("vision.embeddings", vision.embeddings)
    watch.output("vision.pre_norm", vision.pre_layrnorm)
    watch.blocks(vision.encoder.layers, "vision.block")
    watch.output("vision.pooled", vision.post_layernorm)


def run(model, folder):
    """Three pictures (frames 0 to 2) and all prompts, padded and cut to the text tower's length."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        PROMPTS, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    watch = Watch()
    watch_pictures(watch, model)
    text = tower(model, "text_model")
    watch.output("text.embeddings", text.embeddings)
    watch.blocks(text.encoder.layers, "text.block")
    watch.output("text.norm", text.final_layer_norm)
    watch.input("text_pooled", model.text_projection)
    answer = model(**tokens, pixel_values=clip(3, 32)[0])
    found = {name: tensor[:4] if name.startswith("text.") else tensor for name, tensor in watch.found.items()}
    return found | {
        "text.ids": tokens["input_ids"],
        "text_embeds": answer.text_embeds,
        "image_embeds": answer.image_embeds,
        "logits_per_image": answer.logits_per_image,
    }


def run_pictures(model, _folder):
    watch = Watch()
    watch_pictures(watch, model)
    answer = model(pixel_values=clip(3, 32)[0])
    return watch.found | {"image_embeds": answer.image_embeds}


def tokens(folder):
    """{"max_length", "texts": [[text, ids, padded ids] ...]}."""
    made = transformers.AutoTokenizer.from_pretrained(folder)
    texts = []
    for text in STRINGS:
        plain = made(text)["input_ids"]
        texts.append([text, plain, made(text, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]])
    return {"max_length": LENGTH, "texts": texts}


FILES = {"preprocessor_config.json": PREPROCESSOR}
SCALE = {"logit_scale": 4.6052}
CASES = [
    Case("clip", "4", lambda: build(2), run, FILES, extra=published, special=SCALE, tokens=tokens),
    Case("clip-v5", "5", lambda: build(VOCABULARY - 1), run, extra=processor, special=SCALE, pictures=False, seed=1),
    Case(
        "clip-vision",
        "5",
        lambda: transformers.CLIPVisionModelWithProjection(settings(16, 1)),
        run_pictures,
        FILES,
        pictures=False,
    ),
]
