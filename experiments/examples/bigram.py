"""A character bigram model: one matrix of logits, gradient descent, plain text on the screen. It knows nothing of ablate."""

import argparse
import math

import numpy as np

TEXT = """
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice she had
peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is the use of a book,"
thought Alice "without pictures or conversations?" So she was considering in her own mind (as well as she could, for the hot day
made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain would be worth the trouble of getting up and
picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her. There was nothing so very remarkable in that;
nor did Alice think it so very much out of the way to hear the Rabbit say to itself, "Oh dear! Oh dear! I shall be late!" (when
she thought it over afterwards, it occurred to her that she ought to have wondered at this, but at the time it all seemed quite
natural); but when the Rabbit actually took a watch out of its waistcoat-pocket, and looked at it, and then hurried on, Alice
started to her feet, for it flashed across her mind that she had never before seen a rabbit with either a waistcoat-pocket, or a
watch to take out of it, and burning with curiosity, she ran across the field after it, and fortunately was just in time to see
it pop down a large rabbit-hole under the hedge.
"""  # Lewis Carroll, Alice's Adventures in Wonderland, 1865


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=10.0)
    parser.add_argument("--schedule", choices=("constant", "cosine"), default="constant")
    parser.add_argument("--decay", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    given = parse()
    draw = np.random.default_rng(given.seed)
    text = " ".join(TEXT.lower().split())
    letters = sorted(set(text))
    codes = np.array([letters.index(letter) for letter in text])
    pairs = draw.permutation(np.stack([codes[:-1], codes[1:]], axis=1))
    held_out, pairs = pairs[: len(pairs) // 5], pairs[len(pairs) // 5 :]
    logits = draw.normal(0, 0.1, (len(letters), len(letters)))

    def loss_and_slope(batch: np.ndarray) -> tuple[float, np.ndarray]:
        scores = logits[batch[:, 0]]
        scores = scores - scores.max(axis=1, keepdims=True)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        here = np.arange(len(batch))
        loss = float(-np.log(shares[here, batch[:, 1]]).mean())
        shares[here, batch[:, 1]] -= 1
        slope = np.zeros_like(logits)
        np.add.at(slope, batch[:, 0], shares / len(batch))
        return loss, slope

    print(f"{len(pairs)} pairs of {len(letters)} letters, {len(held_out)} held out")
    for step in range(1, given.steps + 1):
        rate = given.lr
        if given.schedule == "cosine":
            rate *= (1 + math.cos(math.pi * step / given.steps)) / 2
        loss, slope = loss_and_slope(pairs[draw.integers(0, len(pairs), given.batch)])
        logits -= rate * (slope + given.decay * logits)
        if step % 50 == 0:
            print(f"step {step}: train loss {loss:.4f}, val loss {loss_and_slope(held_out)[0]:.4f}")


if __name__ == "__main__":
    main()
