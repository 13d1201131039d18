"""The paper's grid of `electrogan`: learning rate x R1 gamma, as overrides of one config (Havenaar 2023, Table 1).

Each entry is one run: its name, and the overrides that `drumgan train` takes as --config.KEY=VALUE. As in the paper a
cell ends when its FID degrades (`evaluation.patience`), or at the variant's `train.total_images`: 8,000 kimg of `full`,
beyond the longest of the paper's. Its best FID, and the thousands of images at which it was reached:

    gamma      10             5              1
    lr 0.001   3.21 @ 2,200   7.57 @ 7,200   13.06 @ 2,600
    lr 0.002   40.5 @ 300     48.1 @ 200     7.39 @ 2,000
"""

CONFIG = "electrogan"

RUNS = {
    f"lr{learning_rate}_gamma{gamma}": {
        "optimizer.generator.learning_rate": learning_rate,
        "optimizer.discriminator.learning_rate": learning_rate,
        "objective.r1_gamma": gamma,
    }
    for learning_rate in (0.001, 0.002)
    for gamma in (1.0, 5.0, 10.0)
}
