"""The operator's pages: a later issue. The member's page belongs to points/."""
