"""How fast the models are beside other libraries', and NADE beside its own slower forms."""
