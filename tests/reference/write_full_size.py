# SPDX-License-Identifier: Apache-2.0
"""Writes full-size checkpoints in the exact official layout, with values drawn from a seed.

    python3 tests/reference/write_full_size.py --model vit_b16 --format pth --output cat_seg_b16.pth

`pth` and `legacy` hold {"model": state_dict, "iteration": 0} as detectron2 writes it; `openai` is a TorchScript archive
(CLIP models only). All formats except `safetensors` need PyTorch.
"""
import argparse

import safetensors_format
import seeded_weights


def main():
    models = {**seeded_weights.CAT_SEG_MODELS, **seeded_weights.CLIP_MODELS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=models)
    parser.add_argument("--format", required=True, choices=["safetensors", "pth", "legacy", "openai"])
    parser.add_argument("--output", required=True)
    parser.add_argument("--seed", type=int, default=20240607)
    options = parser.parse_args()
    g = models[options.model]
    clip = options.model in seeded_weights.CLIP_MODELS
    if options.format == "openai" and not clip:
        parser.error("the format `openai` is for CLIP models")
    weights = (seeded_weights.clip_weights if clip else seeded_weights.cat_seg_weights)(g, options.seed)
    if options.format == "safetensors":
        safetensors_format.write(options.output, weights, {"seed": str(options.seed), "model": options.model})
    else:
        import torch_containers
        if options.format == "openai":
            torch_containers.save_openai_archive(options.output, g, weights)
        else:
            value = torch_containers.state_dict(weights)
            torch_containers.save(options.output, value if clip else {"model": value, "iteration": 0},
                                  options.format == "legacy")
    print(f"{options.output}: {len(weights)} tensors, {sum(w.size for w in weights.values())} values")


if __name__ == "__main__":
    main()
