"""Gradients: where they end up, how they add up, and who uses them.

``backward`` leaves gradients on the leaves of a graph, which in a model are its parameters, and an optimizer
reads them there. Read *accumulation* and *leaves* first, then *several_losses*, *sharing* and *freezing*;
*frozen_elements* is about parts of a tensor. *zero_grad*, *clipping*, *clipping_bounds* and *norms* are
about changing gradients, *optimizers*, *parameter_groups*, *optimizer_state* and *optimizer_hooks* about
using them, *schedulers* about learning rates and groups, *muon* about an optimizer that takes matrices
alone, and *vectors* about all parameters as one vector. *loss_scaling* and *bfloat16* are about gradients
and steps in a lower precision. *what_graphs_keep* is about memory, *checkpointing*, *checkpoint_repeats* and
*second_forward* are about a forward that runs again in backward, *kept_results* about a backward that
reaches earlier calls, *inference_mode* about modules and tensors that autograd does not know.
*changes_in_place*, *not_a_number* and *cut_graphs* say why ``backward`` refuses, spoils or trains nothing,
*anomaly_mode* how to find it, *own_functions* what a backward of one's own has to return, *small_batches*
what accumulating takes, *weight_decay* what each optimizer makes of it. What optimizers compute is in
*optimizer_arguments*, which is about all of them, and in *momentum*, *adam_moments*, *squared_gradients*,
*lbfgs* and *adafactor*; *swa_rates* goes with averages.
"""
