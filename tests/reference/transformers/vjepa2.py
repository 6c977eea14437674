"""V-JEPA 2 (arXiv:2506.09985): a clip's tokens with rotary positions, joined by an attentive pooler.

The predictor stands in the file as in the published ones; labelling has no use for it.
"""
import transformers

from case import LABELS, Case, Watch, clip

FILES = {
    "video_preprocessor_config.json": {
        "crop_size": {"height": 32, "width": 32},
        "data_format": "channels_first",
        "default_to_square": True,
        "do_center_crop": True,
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_pad": None,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "input_data_format": None,
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 36},
        "size_divisor": None,
        "video_processor_type": "VJEPA2VideoProcessor",
    }
}


def build():
    return transformers.VJEPA2ForVideoClassification(
        transformers.VJEPA2Config(
            patch_size=8,
            crop_size=32,
            frames_per_clip=8,
            tubelet_size=2,
            hidden_size=32,
            num_attention_heads=2,
            num_hidden_layers=2,
            mlp_ratio=2.0,
            num_pooler_layers=1,
            pred_hidden_size=12,
            pred_num_attention_heads=1,
            pred_num_hidden_layers=1,
            pred_num_mask_tokens=2,
            pred_mlp_ratio=2.0,
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
        )
    )


def run(model, _folder):
    watch = Watch()
    encoder = model.vjepa2.encoder
    watch.output("embeddings", encoder.embeddings)
    watch.blocks(encoder.layer)
    watch.output("norm", encoder.layernorm)
    watch.blocks(model.pooler.self_attention_layers, "pooler.block")
    watch.input("pooled", model.classifier)
    logits = model(pixel_values_videos=clip(8, 32)).logits
    return watch.found | {"logits": logits}


CASES = [Case("vjepa2", "4", build, run, FILES)]
