"""Gradient descent with momentum in JAX, under absl's flags and logging."""

import jax
import jax.numpy as jnp
from absl import app, flags, logging
from sklearn.datasets import load_digits

FLAGS = flags.FLAGS
flags.DEFINE_float("learning_rate", 0.1, "step size")
flags.DEFINE_float("momentum", 0.9, "share of the last step")
flags.DEFINE_integer("num_epochs", 10, "passes")
flags.DEFINE_integer("seed", 0, "of the first weights")


def loss_of(w, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(x @ w), y[:, None], 1).mean()


def main(_):
    logging.set_verbosity(logging.INFO)
    x, y = map(jnp.asarray, load_digits(return_X_y=True))
    x = x / 16
    w = 0.1 * jax.random.normal(jax.random.key(FLAGS.seed), (64, 10))
    v = jnp.zeros_like(w)
    gradient = jax.jit(jax.grad(loss_of))
    for epoch in range(1, FLAGS.num_epochs + 1):
        for start in range(0, 1000, 100):
            part = slice(start, start + 100)
            v = FLAGS.momentum * v - FLAGS.learning_rate * gradient(w, x[part], y[part])
            w = w + v
        accuracy = (jnp.argmax(x[1000:] @ w, 1) == y[1000:]).mean()
        loss = loss_of(w, x[1000:], y[1000:])
        logging.info("eval epoch: %d, loss: %.4f, accuracy: %.2f", epoch, loss, accuracy * 100)


if __name__ == "__main__":
    app.run(main)
