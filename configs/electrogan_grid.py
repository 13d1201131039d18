"""The paper's grid of `electrogan`: learning rate x R1 gamma, as overrides of one config (Havenaar 2023, Table 1).

Each entry is one run: its name, and the overrides that `drumgan train` takes as --config.KEY=VALUE.
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
