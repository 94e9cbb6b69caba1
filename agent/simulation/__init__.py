"""A box, its link and a cloud in virtual time: what a seed draws is played to who decides, to the agent's lane first.

`scenario` says what happens, `arrivals`, `links` and `world` draw it from a seed, `drive` plays it to any `contender`,
`meter` counts what came of it, and `ourselves` is the agent's lane as a contender. `longshore plan` asks it before a
box is bought, and the bench of the decision (bench/decision) for its proofs. Nothing here sleeps, and nothing but the
measured decision time depends on the machine.
"""
