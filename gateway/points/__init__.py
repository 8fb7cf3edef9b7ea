"""The reference points backend: members, passes, credits and the member's page.

A service of its own. It imports nothing else from the repository and nothing else in
`gateway/` imports it: the two meet over HTTP only.
"""
