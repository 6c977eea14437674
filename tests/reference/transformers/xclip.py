"""X-CLIP (arXiv:2208.02816): frames that exchange messages, texts that are changed by the clip they are held against."""
import os

import transformers

from case import Case, Watch, clip
from clip import LENGTH, VOCABULARY, tokenizer, tower
from texts import PROMPTS

FILES = {
    "preprocessor_config.json": {
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "VideoMAEFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "processor_class": "XCLIPProcessor",
        "resample": 2,
        "size": 32,
        "crop_size": {"height": 32, "width": 32},
    }
}


def text_files(folder):
    """CLIP's tokenizer without the older of its forms."""
    tokenizer(folder)
    for name in ("vocab.json", "merges.txt"):
        os.remove(os.path.join(folder, name))


def build():
    text = dict(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    picture = dict(
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        mit_hidden_size=16,
        mit_intermediate_size=64,
        mit_num_hidden_layers=1,
        mit_num_attention_heads=2,
        image_size=32,
        patch_size=8,
        num_frames=4,
    )
    return transformers.XCLIPModel(
        transformers.XCLIPConfig(
            text_config=text, vision_config=picture, projection_dim=16, prompt_layers=2, prompt_num_attention_heads=4
        )
    )


def run(model, folder):
    """One clip of four frames and eight prompts; `text_features` are those before the clip changes them."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        PROMPTS[:8], padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    watch = Watch()
    vision, text = tower(model, "vision_model"), tower(model, "text_model")
    watch.output("vision.embeddings", vision.embeddings)
    watch.output("vision.pre_norm", vision.pre_layernorm)
    watch.blocks(vision.encoder.layers, "vision.block")
    watch.output("vision.pooled", vision.post_layernorm)
    watch.output("frame_features", model.visual_projection)
    watch.blocks(model.mit.encoder.layers, "mit.block")
    watch.output("text.embeddings", text.embeddings)
    watch.output("text_features", model.text_projection)
    watch.output("prompts.norm", model.prompts_generator.layernorm)
    watch.blocks(model.prompts_generator.decoder, "prompts.block")
    watch.output("prompts", model.prompts_generator)
    answer = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=clip(4, 32))
    return watch.found | {
        "text.ids": tokens["input_ids"],
        "text_embeds": answer.text_embeds,
        "video_embeds": answer.video_embeds,
        "logits_per_video": answer.logits_per_video,
    }


CASES = [Case("xclip", "4", build, run, FILES, extra=text_files, special={"logit_scale": 4.6052})]
