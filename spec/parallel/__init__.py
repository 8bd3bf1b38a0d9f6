"""Running one module in several places at once.

There are four ways. *DataParallel* makes short-lived copies of a module, replicas, inside one process; their
gradients are summed. *DistributedDataParallel* (DDP) keeps a module in each of several processes, the ranks,
and averages gradients between them. *fully_shard* keeps a part of every parameter on each rank, its shard.
*Tensor parallelism* keeps a part as well, and computes with it: no rank ever has the whole weight.

Read *data_parallel* first, with *data_parallel_batches* for its inputs and outputs, *data_parallel_replicas*
for what runs, *scatter*, *replicate* and *parallel_apply* for its steps, *refused_outputs* for what these do
not take, and *comm* and *comm_scatter* for what they are made of; then *ddp*, *ddp_gradients*,
*ddp_parameters*, *ddp_buffers* and *ddp_errors*, *ddp_buckets* and *ddp_comm_hooks* for the exchange of
gradients, *ddp_join* for uneven batches,
*ddp_checkpointing* and *ddp_finalizing* for other ways through backward, *ddp_on_gpus* for modules on GPUs,
*ddp_compiled* for compiled ones, and *sync_batch_norm* for batch normalization over all ranks; last
*fully_shard*, with *fully_shard_settings*, *fully_shard_gradients*, *fully_shard_precision* and
*fully_shard_dtypes* for what it can be told, *fully_shard_meshes* for the ranks it shards over,
*fully_shard_lists* for several modules at once, *fully_shard_gathering*, *fully_shard_reducing* and
*fully_shard_collectives* for what it communicates when, *fully_shard_unused* for parameters without a
gradient, *fully_shard_streams* and *fully_shard_offloading* for streams, buffers and GPUs, *fully_shard_meta*
for modules without values, and *fully_shard_recovery* for errors. *tensor_parallel* is about layers that are
cut, *dtensors* about the tensors of which both are made. *state_dicts_by_name* and *optimizer_state_by_name*
give states with the names of the plain module, *distributed_checkpoint* keeps them in a folder.
"""
