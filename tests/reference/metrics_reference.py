# SPDX-License-Identifier: Apache-2.0
"""Prints the numbers of tests/metrics/segmentation_metrics_test.cpp, from the definitions, with NumPy alone.

    python3 tests/reference/metrics_reference.py
"""
import numpy as np

UNKNOWN = 65535


def label_maps(height, width, seed):
    """Ground truth and prediction of 7 classes. Class 4 is never found, 5 is only predicted, 6 is nowhere."""
    state, truth, prediction = seed, [], []
    for _ in range(height * width):
        state = (state * 1664525 + 1013904223) % 2 ** 32
        label = (state >> 20) % 6
        truth.append((0, 1, 2, 3, 4, UNKNOWN)[label])
        guess = (state >> 12) % 16
        if guess < 9 and label < 4:
            prediction.append(label)
        else:
            prediction.append((0, 1, 2, 3, 5, 9, UNKNOWN)[guess % 7])
    return np.array(truth), np.array(prediction)


def scores(truth, prediction, classes, subset, zero_if_predicted=False, count_outside=False):
    """Set arithmetic on pixels, without a confusion matrix."""
    kept = truth < classes
    if not count_outside:
        kept &= prediction < classes
    iou, accuracy, weight, hits, averaged = [], [], [], [], []
    for c in subset:
        t, p = kept & (truth == c), kept & (prediction == c)
        both, either = np.count_nonzero(t & p), np.count_nonzero(t | p)
        present = t.any()
        iou.append(both / either if present else np.nan)
        accuracy.append(both / t.sum() if present else np.nan)
        weight.append(t.sum())
        hits.append(both)
        if present or (zero_if_predicted and p.any()):
            averaged.append(both / either)
    iou, accuracy, weight = np.array(iou), np.array(accuracy), np.array(weight)
    return {
        "mean_iou": np.mean(averaged) if averaged else np.nan,
        "frequency_weighted_iou": np.nansum(iou * weight) / weight.sum(),
        "mean_accuracy": np.nanmean(accuracy),
        "pixel_accuracy": sum(hits) / weight.sum(),
        "zero_iou_share": np.mean(np.array(averaged) == 0),
        "present": int((weight > 0).sum()),
        "iou": iou, "accuracy": accuracy,
    }


def main():
    np.set_printoptions(precision=17)
    truth, prediction = label_maps(23, 31, 5)
    print("cells", np.array([[np.count_nonzero((truth == t) & (np.minimum(prediction, 7) == p)) for p in range(8)]
                             for t in range(7)]).tolist())
    for subset in (range(7), [0, 2, 5], [1, 3, 4, 6]):
        for zero_if_predicted in (False, True):
            for count_outside in (False, True):
                print(f"classes {list(subset)}, zero_if_predicted {zero_if_predicted}, count_outside {count_outside}")
                for name, value in scores(truth, prediction, 7, subset, zero_if_predicted, count_outside).items():
                    print(f"  {name}: {value!r}")


if __name__ == "__main__":
    main()
