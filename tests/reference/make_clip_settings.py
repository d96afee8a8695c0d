# SPDX-License-Identifier: Apache-2.0
"""Records what transformers and open_clip give for the tiny CLIP with settings that its weights do not tell.

    python3 tests/reference/make_clip_settings.py [OUTPUT_DIRECTORY]

Needs torch, transformers, open_clip_torch and safetensors. The weights, the prompts and the picture are those of
make_checkpoints.py; only the numbers and the files of settings are written.
"""
import json
import pathlib
import sys

import open_clip
import torch
import transformers
from safetensors.torch import load_file

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def pixels(image, mean, std):
    crop = image[12:28, 18:34].float() / 255
    return ((crop - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)[None]


def hugging_face(data, vision_act, text_act):
    config = json.loads((data / "tiny_hf.config.json").read_text())
    config["vision_config"]["hidden_act"], config["text_config"]["hidden_act"] = vision_act, text_act
    model = transformers.CLIPModel(transformers.CLIPConfig(**config)).eval()
    weights = {k: v for k, v in load_file(str(data / "tiny_hf.safetensors")).items() if "position_ids" not in k}
    model.load_state_dict(weights)
    return lambda x, ids: (model(input_ids=ids, pixel_values=x).logits_per_image[0], config)


def open_clip_model(data, quick_gelu):
    config = dict(embed_dim=12, quick_gelu=quick_gelu,
                  vision_cfg=dict(image_size=16, layers=3, width=16, patch_size=4, head_width=8),
                  text_cfg=dict(context_length=77, vocab_size=554, width=8, heads=2, layers=1))
    model = open_clip.CLIP(config["embed_dim"], open_clip.CLIPVisionCfg(**config["vision_cfg"]),
                           open_clip.CLIPTextCfg(**config["text_cfg"]), quick_gelu=quick_gelu).eval()
    model.load_state_dict(load_file(str(data / "tiny_clip.safetensors")), strict=False)

    def run(x, ids):
        image, text, scale = model(x, ids)[:3]
        return (scale * image @ text.T)[0], {"model_cfg": config, "preprocess_cfg": {"mean": MEAN, "std": STD}}
    return run


def main():
    data = pathlib.Path(__file__).parents[1] / "data/checkpoints"
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else data
    given = load_file(str(data / "tiny_expected.safetensors"))
    ids = given["tokens"].long()
    result = {"versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__,
                           "open_clip": open_clip.__version__}, "cases": []}
    half = (0.5, 0.5, 0.5)
    with torch.no_grad():
        for vision, text in (("quick_gelu", "quick_gelu"), ("gelu", "gelu"), ("quick_gelu", "gelu"),
                             ("gelu", "quick_gelu")):
            for mean, std in ((MEAN, STD), (half, half)):
                scores, config = hugging_face(data, vision, text)(pixels(given["image"], mean, std), ids)
                result["cases"].append(dict(maker="transformers", config=config, mean=mean, std=std,
                                            scores=scores.tolist(), probabilities=scores.softmax(0).tolist()))
        for quick in (True, False):
            scores, config = open_clip_model(data, quick)(pixels(given["image"], MEAN, STD), ids)
            result["cases"].append(dict(maker="open_clip", config=config, mean=MEAN, std=STD, scores=scores.tolist(),
                                        probabilities=scores.softmax(0).tolist()))
    (out / "tiny_settings.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
