"""ViViT (arXiv:2103.15691), model 1: all tubelets of a clip attend to each other, a class token is read."""
import transformers

from case import LABELS, Case, Watch, clip

FILES = {
    "preprocessor_config.json": {
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "VivitImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "offset": True,
        "resample": 2,
        "rescale_factor": 0.00784313725490196,
        "size": {"shortest_edge": 36},
    }
}


def build():
    return transformers.VivitForVideoClassification(
        transformers.VivitConfig(
            image_size=32,
            num_frames=8,
            tubelet_size=[2, 8, 8],
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=48,
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
        )
    )


def run(model, _folder):
    watch = Watch()
    watch.output("embeddings", model.vivit.embeddings)
    watch.blocks(model.vivit.encoder.layer if hasattr(model.vivit, "encoder") else model.vivit.layers)
    watch.input("pooled", model.classifier)
    logits = model(clip(8, 32)).logits
    return watch.found | {"logits": logits}


CASES = [Case("vivit", "4", build, run, FILES)]
