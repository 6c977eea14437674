"""VideoMAE (arXiv:2203.12602): one folder by each version with the same numbers, and one without mean pooling.

Version 4 writes `q_bias` and `v_bias`; version 5 does so too unless told `save_original_format=False`, and then it
writes `query.bias` and `value.bias`. The small folders are the ways in which weights are stored.
"""
import torch
import transformers

from case import LABELS, Case, Watch, clip

PREPROCESSOR = {
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "VideoMAEImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 32},
}
# As the first files of the family have it.
OLD_PREPROCESSOR = {
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "VideoMAEFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 2,
    "size": 32,
    "crop_size": {"height": 32, "width": 32},
}


def build(mean=True, **settings):
    sizes = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48)
    config = transformers.VideoMAEConfig(
        **(sizes | settings),
        image_size=32,
        patch_size=8,
        num_frames=8,
        tubelet_size=2,
        use_mean_pooling=mean,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    return transformers.VideoMAEForVideoClassification(config)


def run(model, _folder):
    watch = Watch()
    watch.output("embeddings", model.videomae.embeddings)
    watch.blocks(model.videomae.encoder.layer)
    watch.input("pooled", model.classifier)
    logits = model(clip(8, 32)).logits
    return watch.found | {"logits": logits}


def short(model, _folder):
    """Logits alone."""
    return {"logits": model(clip(8, 32)).logits}


def small():
    return build(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)


FILES = {"preprocessor_config.json": PREPROCESSOR}
OLD_FILES = {"preprocessor_config.json": OLD_PREPROCESSOR}
TINY = dict(build=small, run=short, files=FILES, pictures=False)
CASES = [
    Case("videomae", "4", build, run, FILES),
    Case("videomae-v5", "5", build, run, FILES, save={"save_original_format": False}, pictures=False, alone=True),
    Case("videomae-first-token", "5", lambda: build(mean=False), run, OLD_FILES, pictures=False, seed=1),
    Case("videomae-sharded", "4", **TINY, save={"max_shard_size": "30KB"}),
    Case("videomae-bf16", "4", **TINY, dtype=torch.bfloat16),
    Case("videomae-f16", "4", **TINY, dtype=torch.float16),
    Case("videomae-pickle", "4", **TINY, pickle=True),
]
