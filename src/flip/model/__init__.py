"""The linear map: its scores, the checkpoint folder that keeps it, and where a checkpoint is found."""
