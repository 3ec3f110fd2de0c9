"""New experts out of old ones: routed, scaled, merged, truncated and fused adapters, and exits inside the backbone.

tuning.py: the training loop that all share. routed.py: a new task from the adapters of others (Poly, MHR,
ScaLearn). merging.py: one adapter out of many (averaging, task arithmetic, AdaMerging). ranks.py: adapters under a
memory limit. updates.py: an expert's update that stays compatible. exits.py: a prediction before the last layer.
fusing.py: small heads that steer a large one. What helps and what does not: docs/composition.md.
"""
