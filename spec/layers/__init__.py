"""What layers and losses have in common.

A layer is a module that torch brings along: parameters with known names and shapes, and a forward. Read
*linear* first, then *constructors* for the arguments that layers share. *convolution*, *recurrent*,
*normalisation*, *embeddings* and *attention* show the names and shapes of their parameters;
*convolution_arguments*, *transposed_convolution* and *embedding_bag* go on where these end.
*packed_sequences*, *padded_sequences* and *moving_packed_sequences* are about what recurrent layers take.
*reshaping* and *activations* are layers without any parameters, and *losses* are modules as well:
*loss_reductions* are what they make of their values, *classification_losses* and *loss_arguments* what they
take and refuse, *ctc_loss* and *linear_cross_entropy* two with many arguments of their own. One weight in
several layers is in *sharing*, in the part on gradients.
"""
