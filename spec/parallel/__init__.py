"""Running one module in several places at once.

There are three ways. *DataParallel* makes short-lived copies of a module, replicas, inside one process; their
gradients are summed. *DistributedDataParallel* (DDP) keeps a module in each of several processes, the ranks,
and averages gradients between them. *fully_shard* keeps a part of every parameter on each rank, its shard.

Read *data_parallel* first, with *data_parallel_batches* for its inputs and outputs, and *scatter*,
*replicate* and *parallel_apply* for its steps; then *ddp*, *ddp_gradients*, *ddp_buffers* and *ddp_errors*,
and *sync_batch_norm* for batch normalization over all ranks; last *fully_shard*.
"""
