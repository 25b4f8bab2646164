"""A small network of scikit-learn, configured by Hydra."""

import logging

import hydra
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import PolynomialFeatures

log = logging.getLogger(__name__)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    x, y = load_digits(return_X_y=True)
    x = x[:, 16:48] / 16
    if "kernel" in config.model:
        x = PolynomialFeatures(2, include_bias=False).fit_transform(x)
    net = SGDClassifier("log_loss", learning_rate="constant", eta0=config.optimizer.lr, random_state=config.seed)
    for epoch in range(1, config.epochs + 1):
        net.partial_fit(x[:1000], y[:1000], classes=range(10))
        log.info("epoch %d val/acc=%.4f", epoch, net.score(x[1000:1300], y[1000:1300]))
    log.info("test/acc=%.4f", net.score(x[1300:], y[1300:]))


if __name__ == "__main__":
    main()
