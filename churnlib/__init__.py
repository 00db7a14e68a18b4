"""The closed loop around a churn model, apart from any scheduler."""
