"""Fine-tuning: trained weights taken over, and a part of them trained on for another task."""
