"""Runs one attempt again, away from any worker: in the process of `apollo replay`, which imports this by name.

The attempt goes the way of every attempt, through AttemptPrograms and Pipeline, so that its programs see what they saw;
here is only what is different around it: where programs and map outputs come from, where its output goes, who watches.
"""
