"""Durable jobs: what has begun is finished, whatever process or machine dies meanwhile."""
