"""Costs of LLM calls: prices, the sums spent, and the budgets that limit them."""
