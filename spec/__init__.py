"""The executable specification of torch.nn.Module: clauses, and measurements of what it costs.

The parts in reading order: *registration*, *traversal*, *containers* and *parameter* are about what a
module holds; *gradients*, *calling* and *modes* about what it does; *state*, *placement* and *copying* about
where its state goes; *functional*, *reparametrization*, *compilation* and *parallel* about what is built on
it; *layers* about the modules that come with torch. The folder benchmarks holds no clauses but measurements.
"""
