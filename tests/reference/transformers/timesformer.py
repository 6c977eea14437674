"""TimeSformer (arXiv:2102.05095): attention over time then space, over both at once, and over space alone.

With `space_only` transformers does not join the frames: one row of logits for each.
"""
import transformers

from case import LABELS, Case, Watch, clip

FILES = {
    "preprocessor_config.json": {
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type": "VideoMAEFeatureExtractor",
        "image_mean": [0.45, 0.45, 0.45],
        "image_processor_type": "VideoMAEImageProcessor",
        "image_std": [0.225, 0.225, 0.225],
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 32},
    }
}


def build(attention, layers=1):
    return transformers.TimesformerForVideoClassification(
        transformers.TimesformerConfig(
            hidden_size=24,
            num_hidden_layers=layers,
            num_attention_heads=3,
            intermediate_size=48,
            image_size=32,
            patch_size=8,
            num_frames=4,
            attention_type=attention,
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
        )
    )


def run(model, _folder):
    watch = Watch()
    watch.output("embeddings", model.timesformer.embeddings)
    watch.blocks(model.timesformer.encoder.layer)
    watch.input("pooled", model.classifier)
    logits = model(clip(4, 32)).logits
    return watch.found | {"logits": logits}


CASES = [
    Case("timesformer", "4", lambda: build("divided_space_time", 2), run, FILES),
    Case("timesformer-joint", "5", lambda: build("joint_space_time"), run, FILES, pictures=False),
    Case("timesformer-space", "5", lambda: build("space_only"), run, FILES, pictures=False),
]
