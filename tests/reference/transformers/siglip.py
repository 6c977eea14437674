"""SigLIP (arXiv:2303.15343) and SigLIP 2 (arXiv:2502.14786): both towers, and a tokenizer of either kind.

`siglip` has a unigram tokenizer: spiece.model, which transformers reads, and a tokenizer.json that means the same.
`siglip2` is as the published files of a fixed resolution are: `model_type` siglip, and a byte pair encoding like
Gemma's, which knows all bytes. `siglip2-naflex` is settings alone, of the kind that takes pictures of any shape.
"""
import os
import string
import tempfile
from collections import Counter
from functools import partial

import sentencepiece
import torch
import transformers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from case import Case, Watch, clip, write_json
from texts import CORPUS, PROMPTS, STRINGS, learn_merges

LENGTH = 24


def preprocessor(resample):
    return {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": resample,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 32, "width": 32},
    }


# What the small tokenizer takes for what; {character: characters}.
RULES = {"\u3000": " ", "\u00a0": " ", "½": "1/2", "ﬁ": "fi", "ﬀ": "ff", "e\u0301": "é"} | {
    chr(0xFEE0 + ord(letter)): letter for letter in string.ascii_uppercase + string.digits
}
PIECES = 320


def unigram(folder):
    """Trains spiece.model and writes the tokenizer.json that goes with it."""
    plain = [line.lower().translate(str.maketrans("", "", string.punctuation)) for line in CORPUS]
    with tempfile.TemporaryDirectory() as made:
        rules = os.path.join(made, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as file:
            for old, new in RULES.items():
                file.write(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(plain),
            model_prefix=os.path.join(made, "spiece"),
            vocab_size=PIECES,
            character_coverage=0.98,
            normalization_rule_tsv=rules,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
        # The names of files in a temporary folder are part of the model.
        proto = sentencepiece_model_pb2.ModelProto.FromString(open(os.path.join(made, "spiece.model"), "rb").read())
    proto.trainer_spec.model_prefix = "spiece"
    proto.normalizer_spec.normalization_rule_tsv = ""
    with open(os.path.join(folder, "spiece.model"), "wb") as file:
        file.write(proto.SerializeToString(deterministic=True))

    made = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2))
    made.normalizer = normalizers.Sequence([
        normalizers.Lowercase(),
        normalizers.Replace(Regex("[" + "".join("\\" + c for c in string.punctuation) + "]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Replace(Regex(" {2,}"), " "),
    ])
    made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    made.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    made.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    marks = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    write_json(os.path.join(folder, "special_tokens_map.json"), marks)
    kind = {"tokenizer_class": "SiglipTokenizer", "model_max_length": LENGTH, "do_lower_case": True}
    write_json(
        os.path.join(folder, "tokenizer_config.json"),
        kind | {"model_input_names": ["input_ids"], "additional_special_tokens": []} | marks,
    )


MERGES = 360
LETTERS = 150
VOCABULARY = 4 + 256 + LETTERS + MERGES


def gemma(folder):
    """Byte pair encoding of whole texts with ▁ for spaces; what is no letter of its own becomes its bytes."""
    words = Counter("▁" + part if i else part for line in CORPUS for i, part in enumerate(line.lower().split(" ")))
    letters = Counter("".join(word * often for word, often in words.items()))
    known = sorted(sorted(letters, key=lambda letter: (-letters[letter], letter))[:LETTERS])
    kept = {tuple(word): often for word, often in words.items() if set(word) <= set(known)}
    merges = learn_merges(kept, MERGES)
    marks = ["<pad>", "<eos>", "<bos>", "<unk>"]
    order = marks + [f"<0x{i:02X}>" for i in range(256)] + known + [a + b for a, b in merges]
    vocabulary = {token: i for i, token in enumerate(order)}
    assert len(vocabulary) == VOCABULARY
    made = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    made.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.post_processor = processors.TemplateProcessing("$A <eos>", special_tokens=[("<eos>", 1)])
    made.add_special_tokens(marks)
    made.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(os.path.join(folder, "special_tokens_map.json"), names)
    kind = {"tokenizer_class": "GemmaTokenizer", "model_max_length": LENGTH, "padding_side": "right"}
    flags = {"add_bos_token": False, "add_eos_token": True, "model_input_names": ["input_ids"]}
    write_json(os.path.join(folder, "tokenizer_config.json"), kind | flags | names)


def reader(folder, padding):
    """tokenizer.json as it stands, whichever class the version would make of the folder."""
    path = os.path.join(folder, "tokenizer.json")
    return transformers.PreTrainedTokenizerFast(tokenizer_file=path, pad_token=padding, padding_side="right")


def padded(made, texts):
    return made(texts, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]


def tokens(folder, padding):
    """{"max_length", "texts": [[text, ids, padded ids] ...]}."""
    made = reader(folder, padding)
    return {"max_length": LENGTH, "texts": [[text, made(text)["input_ids"], padded(made, text)] for text in STRINGS]}


def build(vocabulary):
    text = dict(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_size=32,
    )
    picture = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
    )
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=picture))


def tower(model, name):
    part = getattr(model, name)
    return getattr(part, name, part)


def run(model, folder, padding):
    """Three pictures (frames 0 to 2) and all prompts, padded and cut to the text tower's length; no mask."""
    ids = torch.tensor(padded(reader(folder, padding), PROMPTS))
    watch = Watch()
    vision, text = tower(model, "vision_model"), tower(model, "text_model")
    watch.output("vision.embeddings", vision.embeddings)
    watch.blocks(vision.encoder.layers, "vision.block")
    watch.output("vision.norm", vision.post_layernorm)
    watch.output("vision.pooled", vision.head)
    watch.output("text.embeddings", text.embeddings)
    watch.blocks(text.encoder.layers, "text.block")
    watch.output("text.norm", text.final_layer_norm)
    watch.output("text_pooled", text.head)
    answer = model(input_ids=ids, pixel_values=clip(3, 32)[0])
    found = {name: tensor[:4] if name.startswith("text.") else tensor for name, tensor in watch.found.items()}
    return found | {
        "text.ids": ids,
        "text_embeds": answer.text_embeds,
        "image_embeds": answer.image_embeds,
        "logits_per_image": answer.logits_per_image,
    }


def case(name, maker, vocabulary, padding, extra, resample, seed):
    return Case(
        name,
        maker,
        lambda: build(vocabulary),
        partial(run, padding=padding),
        {"preprocessor_config.json": preprocessor(resample)},
        extra=extra,
        special={"logit_scale": 4.7, "logit_bias": -12.9},
        tokens=partial(tokens, padding=padding),
        seed=seed,
    )


NAFLEX = {
    "architectures": ["Siglip2Model"],
    "initializer_factor": 1.0,
    "model_type": "siglip2",
    "text_config": {"model_type": "siglip2_text_model", "vocab_size": VOCABULARY, "hidden_size": 32},
    "torch_dtype": "float32",
    "vision_config": {"model_type": "siglip2_vision_model", "hidden_size": 32, "num_patches": 16, "patch_size": 8},
}
CASES = [
    case("siglip", "4", PIECES, "</s>", unigram, 3, 0),
    case("siglip2", "5", VOCABULARY, "<pad>", gemma, 2, 1),
    Case("siglip2-naflex", "4", None, None, {"config.json": NAFLEX}, pictures=False),
]
