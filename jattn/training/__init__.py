"""Training: state, step, loop, checkpoints, padded batches, losses, metrics, fine-tuning.

It imports no attention mechanism: it trains any `loss(params, batch, rng)`.
"""

from jattn import atomic as atomic
from jattn.training.batches import BucketedBatches as BucketedBatches
from jattn.training.batches import bucketed_batches as bucketed_batches
from jattn.training.batches import shuffled_batches as shuffled_batches
from jattn.training.checkpoint import Checkpoint as Checkpoint
from jattn.training.checkpoint import load_checkpoint as load_checkpoint
from jattn.training.checkpoint import save_checkpoint as save_checkpoint
from jattn.training.early_stop import BestEvaluation as BestEvaluation
from jattn.training.importing import import_weights as import_weights
from jattn.training.loop import FitResult as FitResult
from jattn.training.loop import fit as fit
from jattn.training.lora import LowRank as LowRank
from jattn.training.lora import apply_lora as apply_lora
from jattn.training.lora import init_lora as init_lora
from jattn.training.losses import token_accuracy as token_accuracy
from jattn.training.losses import token_cross_entropy as token_cross_entropy
from jattn.training.metrics import edit_distance as edit_distance
from jattn.training.metrics import sequence_error_rate as sequence_error_rate
from jattn.training.metrics import standard_error as standard_error
from jattn.training.metrics import token_error_rate as token_error_rate
from jattn.training.padding import length_buckets as length_buckets
from jattn.training.padding import length_mask as length_mask
from jattn.training.padding import pad_to as pad_to
from jattn.training.selection import join as join
from jattn.training.selection import label as label
from jattn.training.selection import parameter_count as parameter_count
from jattn.training.selection import select as select
from jattn.training.selection import split as split
from jattn.training.selection import train_only as train_only
from jattn.training.state import TrainState as TrainState
from jattn.training.state import init_train_state as init_train_state
from jattn.training.state import make_train_step as make_train_step
