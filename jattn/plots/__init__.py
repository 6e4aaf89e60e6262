"""Pictures of attention, masks and training, and attention as text for a terminal.

Pictures are matplotlib figures made without pyplot: they need no display and change no setting,
and `save` writes them. `attention_text` needs no matplotlib.
"""

from jattn.plots.curve import learning_curve as learning_curve
from jattn.plots.explorer import explorer as explorer
from jattn.plots.figure import save as save
from jattn.plots.heads import heads_grid as heads_grid
from jattn.plots.maps import attention_grid as attention_grid
from jattn.plots.maps import attention_map as attention_map
from jattn.plots.maps import mask_picture as mask_picture
from jattn.plots.over_image import attention_over_image as attention_over_image
from jattn.plots.over_time import attention_over_time as attention_over_time
from jattn.plots.text import attention_text as attention_text
