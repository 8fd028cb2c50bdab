"""Compressing while another library trains: what Lightning's and Hugging Face's trainers call at each step."""
